/** `await using` for Node 22, which lacks it: what a test uses is closed when it ends, the last first. */
type Use = <T extends AsyncDisposable>(resource: T) => T

export function scoped(test: (use: Use) => Promise<void>): () => Promise<void> {
  return async () => {
    const used: AsyncDisposable[] = []
    try {
      await test((resource) => {
        used.push(resource)
        return resource
      })
    } finally {
      for (const resource of used.reverse()) await resource[Symbol.asyncDispose]()
    }
  }
}
