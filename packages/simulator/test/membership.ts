/** Membership under virtual time: issue 3 item 7, with 1 … 50 ms of delay and 10% of messages lost. */

import {
  allSee,
  cut,
  falseDeaths,
  feed,
  freeze,
  gather,
  heal,
  kill,
  LAN,
  LOSSY,
  type Members,
  memberAt,
  partition,
  peerOf,
  restart,
  runTo,
  runUntil,
  simulateMembers,
  stall,
  tableOf,
  thaw
} from '@cairn/simulator'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const SEEDS = Array.from({ length: 25 }, (_, i) => i + 1)
const replay = (sim: Members) => `seed ${sim.options.seed}`

/** Five that know each other and have settled. */
function five(seed: number): Members {
  const sim = simulateMembers({ seed, nodes: 5, link: LOSSY })
  gather(sim)
  runTo(sim, sim.nowMs + 5_000)
  return sim
}

const membership = suite('membership')

membership('a killed process is dead for all within 5 s, and nobody else', () => {
  for (const seed of SEEDS) {
    const sim = five(seed)
    kill(sim, 3)
    const tookMs = runUntil(sim, 5_000, () => allSee(sim, 3, 'dead'))
    assert.ok(tookMs !== undefined, replay(sim))
    runTo(sim, sim.nowMs + 20_000)
    assert.equal(falseDeaths(sim, 0, [3]), [], replay(sim))
  }
})

membership('a frozen one with its sockets open is dead for all within 15 s, and nobody else', () => {
  for (const seed of SEEDS) {
    const sim = five(seed)
    freeze(sim, 3)
    const tookMs = runUntil(sim, 15_000, () => allSee(sim, 3, 'dead'))
    assert.ok(tookMs !== undefined, replay(sim))
    assert.equal(falseDeaths(sim, 0, [3]), [], replay(sim))
  }
})

membership('one cut off with its sockets open is dead for all within 15 s, and back after it heals', () => {
  for (const seed of SEEDS) {
    const sim = five(seed)
    partition(sim.network, [[3]])
    const tookMs = runUntil(sim, 15_000, () => allSee(sim, 3, 'dead'))
    assert.ok(tookMs !== undefined, replay(sim))
    runTo(sim, sim.nowMs + 30_000)
    heal(sim.network)
    const healedMs = runUntil(sim, 60_000, () => agreed(sim))
    assert.ok(healedMs !== undefined, replay(sim))
  }
})

/** All that are up see all that are up alive. */
function agreed(sim: Members): boolean {
  return sim.nodes.every(({ up }, node) => !up || allSee(sim, node, 'alive'))
}

membership('one that can speak but not hear is found dead, and kills nobody', () => {
  for (const seed of SEEDS) {
    const sim = five(seed)
    for (let other = 0; other < 5; other++) if (other !== 3) cut(sim.network, other, 3)
    assert.ok(runUntil(sim, 15_000, () => allSee(sim, 3, 'dead')) !== undefined, replay(sim))
    runTo(sim, sim.nowMs + 60_000)
    assert.ok(allSee(sim, 3, 'dead'), replay(sim))
    const elsewhere = falseDeaths(sim, 0, [3])
    assert.equal(elsewhere, [], replay(sim))
  }
})

membership('two that cannot reach each other, but the others, stay alive', () => {
  for (const seed of SEEDS) {
    const sim = five(seed)
    cut(sim.network, 1, 3)
    cut(sim.network, 3, 1)
    runTo(sim, sim.nowMs + 120_000)
    assert.equal(falseDeaths(sim, 0), [], replay(sim))
  }
})

membership('an observer that stalls for 10 s declares nobody dead, and is back at once', () => {
  for (const seed of SEEDS) {
    const sim = five(seed)
    stall(sim, 3, 10_000)
    runTo(sim, sim.nowMs + 10_000)
    const tookMs = runUntil(sim, 10_000, () => agreed(sim))
    assert.ok(tookMs !== undefined, replay(sim))
    runTo(sim, sim.nowMs + 20_000)
    assert.equal(
      falseDeaths(sim, 0).filter(({ by, of }) => by === 3 || of !== 3),
      [],
      replay(sim)
    )
  }
})

membership('a machine that was suspended for an hour declares nobody dead', () => {
  for (const seed of SEEDS.slice(0, 5)) {
    const sim = five(seed)
    freeze(sim, 3)
    runTo(sim, sim.nowMs + 3_600_000)
    assert.ok(allSee(sim, 3, 'dead'), replay(sim))
    thaw(sim, 3)
    assert.ok(runUntil(sim, 30_000, () => agreed(sim)) !== undefined, replay(sim))
    assert.equal(
      falseDeaths(sim, 0, []).filter(({ by }) => by === 3),
      [],
      replay(sim)
    )
  }
})

membership('a partition in two heals within 60 s, and each half keeps its own alive all along', () => {
  for (const seed of SEEDS) {
    const sim = five(seed)
    partition(sim.network, [
      [0, 1, 2],
      [3, 4]
    ])
    runTo(sim, sim.nowMs + 60_000)
    for (const [by, of] of [
      [0, 3],
      [1, 4],
      [3, 2],
      [4, 0]
    ] as const) {
      assert.is(memberAt(sim, by, of)?.state, 'dead', replay(sim))
    }
    heal(sim.network)
    assert.ok(runUntil(sim, 60_000, () => agreed(sim)) !== undefined, replay(sim))
    const side = (node: number) => node < 3
    const within = falseDeaths(sim, 0).filter(({ by, of }) => side(by) === side(of))
    assert.equal(within, [], replay(sim))
  }
})

membership('one that leaves is leaving, then left, for all, and never dead', () => {
  for (const seed of SEEDS) {
    const sim = five(seed)
    feed(sim, 3, { type: 'leave' })
    assert.ok(runUntil(sim, 5_000, () => allSee(sim, 3, 'leaving')) !== undefined, replay(sim))
    runTo(sim, sim.nowMs + 20_000)
    feed(sim, 3, { type: 'left-now' })
    runTo(sim, sim.nowMs + 100)
    kill(sim, 3)
    assert.ok(runUntil(sim, 5_000, () => allSee(sim, 3, 'left')) !== undefined, replay(sim))
    runTo(sim, sim.nowMs + 30_000)
    assert.ok(allSee(sim, 3, 'left'), replay(sim))
    assert.equal(falseDeaths(sim, 0), [], replay(sim))
  }
})

membership(
  'one that restarts with nothing but its identity is the same member, above its old incarnation',
  () => {
    for (const seed of SEEDS) {
      for (const downMs of [100, 20_000]) {
        const sim = five(seed)
        feed(sim, 3, { type: 'describe', facts: { capacity: 5 } })
        runTo(sim, sim.nowMs + 5_000)
        kill(sim, 3)
        runTo(sim, sim.nowMs + downMs)
        restart(sim, 3)
        feed(sim, 3, { type: 'join', addresses: [peerOf(1)] })
        const back = () =>
          agreed(sim) && sim.states.every((_, by) => memberAt(sim, by, 3)?.capacity === 2 ** 40)
        assert.ok(runUntil(sim, 15_000, back) !== undefined, `${replay(sim)}, down for ${downMs} ms`)
        assert.ok((memberAt(sim, 0, 3)?.incarnation ?? 0) > 1)
        assert.is(memberAt(sim, 0, 3)?.id, peerOf(3))
        assert.is(sim.states[0]?.table.known.size, 5)
      }
    }
  }
)

membership('all five restart from the addresses that they kept', () => {
  for (const seed of SEEDS) {
    const sim = five(seed)
    for (let node = 0; node < 5; node++) kill(sim, node)
    for (let node = 0; node < 5; node++) {
      restart(sim, node)
      const members = [0, 1, 2, 3, 4].map((i) => ({ id: peerOf(i), addresses: [peerOf(i)] }))
      feed(sim, node, { type: 'found', members })
    }
    assert.ok(runUntil(sim, 15_000, () => agreed(sim)) !== undefined, replay(sim))
  }
})

membership('any member is good to join through, and a wrong address beside it does no harm', () => {
  for (let through = 0; through < 5; through++) {
    const sim = simulateMembers({ seed: 1 + through, nodes: 7, link: LOSSY })
    for (let node = 1; node < 5; node++) feed(sim, node, { type: 'join', addresses: [peerOf(node - 1)] })
    runTo(sim, 20_000)
    kill(sim, 6)
    feed(sim, 5, { type: 'join', addresses: [peerOf(6), peerOf(through)] })
    const known = () => allSee(sim, 5, 'alive') && sim.states[5]?.table.known.size === 6
    assert.ok(runUntil(sim, 10_000, known) !== undefined, replay(sim))
  }
})

membership('a hundred join through one address and come to agree', () => {
  const sim = simulateMembers({ seed: 1, nodes: 100, link: LOSSY })
  gather(sim, 10_000) // 11 s where newcomers do not spread word of themselves
  const same = () => sim.states.every((_, node) => tableOf(sim, node) === tableOf(sim, 0))
  sim.network.link = { ...LOSSY, loss: 0 } // with loss there is always somebody under suspicion
  assert.ok(runUntil(sim, 30_000, same) !== undefined, replay(sim))
  assert.equal(falseDeaths(sim, 0), [])
})

membership('costs a member the same when all is quiet, among ten as among a hundred', () => {
  for (const nodes of [10, 100]) {
    const sim = simulateMembers({ seed: 1, nodes, link: LAN })
    gather(sim)
    runTo(sim, 30_000)
    const { bytes, messages } = sim
    runTo(sim, 60_000)
    assert.ok((sim.messages - messages) / 30 / nodes < 2.1, `${nodes}: messages`)
    assert.ok((sim.bytes - bytes) / 30 / nodes < 35, `${nodes}: bytes`)
  }
})

membership.run()
