import { suite } from 'uvu'
import { storeContract } from '../src/contract.ts'
import { memoryStore } from '../src/memory.ts'

const memory = suite('memoryStore')

const facts = storeContract(async (options) => {
  const store = memoryStore(options)
  return { store, close: () => store.close() }
})
for (const [fact, check] of facts) memory(fact, check)

memory.run()
