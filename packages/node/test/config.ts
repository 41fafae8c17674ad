import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkOptions, defaultCapacity, nearest } from '../src/config.ts'
import { temporary } from './support/home.ts'
import { scoped } from './support/scope.ts'

const KEYS = ['repairDelayMs', 'probeIntervalMs']

function refusal(given: unknown): { code?: string; message: string; hint?: string } {
  try {
    checkOptions(given, KEYS)
  } catch (cause) {
    return cause as { code?: string; message: string; hint?: string }
  }
  return { message: 'accepted' }
}

const config = suite('checkOptions')

config('what is right passes through', () => {
  const given = {
    home: '/h',
    create: { open: true },
    zone: 'küche',
    capacity: 1,
    bulkPort: false,
    config: { repairDelayMs: 3_000 }
  }
  assert.equal(checkOptions(given, KEYS), given)
})

config('an unknown key is refused with the nearest known one', () => {
  const cases = [
    [{ home: 'h', capcity: 1 }, 'capcity', 'capacity'],
    [{ hom: 'h' }, 'hom', 'home'],
    [{ home: 'h', create: { open: true, replica: 3 } }, 'create.replica', 'replicas'],
    [{ home: 'h', config: { repairDelay: 3 } }, 'config.repairDelay', 'repairDelayMs']
  ] as const
  for (const [given, shown, suggested] of cases) {
    const { code, message, hint } = refusal(given)
    assert.is(code, 'BAD_CONFIG')
    assert.match(message, `"${shown}"`)
    assert.match(hint ?? '', `"${suggested}"`)
  }
})

config('a key like nothing known lists what is known', () => {
  assert.match(refusal({ home: 'h', zzzzzzzz: 1 }).hint ?? '', 'capacity')
})

config('wrong values, and creating while joining, are refused', () => {
  const wrong = [
    { home: '' },
    { home: 'h', capacity: -1 },
    { home: 'h', capacity: 1.5 },
    { home: 'h', bulkPort: 65_536 },
    { home: 'h', listen: 'x' },
    { home: 'h', listen: ['tcp:1'] },
    { home: 'h', name: 'a\u001b[31m' },
    { home: 'h', create: { open: true, replicas: 33 } },
    { home: 'h', create: { open: true }, join: 'x' },
    undefined
  ]
  for (const given of wrong) assert.is(refusal(given).code, 'BAD_CONFIG', JSON.stringify(given))
})

config('a suggestion is a slip away, not a guess', () => {
  assert.is(nearest('Zone', ['zone', 'name']), 'zone')
  assert.is(nearest('ab', ['zone', 'name']), undefined)
})

config(
  'capacity by default is half of what is free',
  scoped(async (use) => {
    const tmp = use(await temporary())
    const capacity = await defaultCapacity(tmp.path)
    assert.ok(Number.isSafeInteger(capacity) && capacity > 0)
  })
)

config.run()
