/** A browser collects when it wants to: nothing to do. Node's half is young.node.ts. */
export function noteGarbage(_length: number): void {}
export function setYoung(_semiSpaceBytes: number): void {}
