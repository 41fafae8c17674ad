import type { NodeEvent } from '@cairn/node'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { eventText } from '../src/tell.ts'

const tell = suite('tell')

const member = { type: 'member', peer: 'p', name: 'iron-owl\u001b[1m', atMs: 0 } as const

tell('members that come and go are told, doubts are not', () => {
  const table: [string, string | undefined, string | undefined][] = [
    ['alive', undefined, 'iron-owl\\u{1b}[1m is here'],
    ['alive', 'dead', 'iron-owl\\u{1b}[1m is here'],
    ['suspect', 'alive', undefined],
    ['alive', 'suspect', undefined],
    ['dead', 'suspect', 'iron-owl\\u{1b}[1m is gone'],
    ['leaving', 'alive', 'iron-owl\\u{1b}[1m is leaving'],
    ['left', 'leaving', 'iron-owl\\u{1b}[1m is no longer a member']
  ]
  for (const [state, was, text] of table) {
    assert.is(eventText({ ...member, state, was } as unknown as NodeEvent), text, `${was} -> ${state}`)
  }
})

tell('repairs are told with what is left; information is for programs', () => {
  const repair = { type: 'repair', blocks: 18, bytes: 18_900_000, left: 1, atMs: 0 } as const
  assert.is(eventText(repair), 'fetched 18 blocks, 18.9 MB; 1 block to go')
  assert.is(eventText({ ...repair, blocks: 0 }), undefined)
  assert.is(eventText({ type: 'log', level: 'info', text: 'x', atMs: 0 }), undefined)
  assert.is(eventText({ type: 'log', level: 'warn', text: 'a\u0007', atMs: 0 }), 'a\\u{7}')
})

tell.run()
