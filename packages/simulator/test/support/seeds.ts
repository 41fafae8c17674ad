/** Which seeds a test plays: `CAIRN_SEEDS=1000` for the first thousand, `CAIRN_SEEDS=17-17` for one. */

/** The first and the last seed, as the environment has them, else the first `count`. */
export function seedsOr(count: number): [first: number, last: number] {
  const [first = 1, last] = (process.env.CAIRN_SEEDS ?? `${count}`).split('-').map(Number)
  return last === undefined ? [1, first] : [first, last]
}
