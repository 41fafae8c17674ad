import { CairnError, type Member, type PeerId } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { lossesOf } from '../src/losses.ts'

const member = (id: string, name: string, zone?: string) => ({ id: id as PeerId, name, zone }) as Member
const ALL = [
  member('12D3KooWAAAA', 'amber-fox', 'attic'),
  member('12D3KooWBBBB', 'iron-owl', 'attic'),
  member('12D3KooWCCCC', 'iron-owl', 'cellar'),
  member('12D3KooWDDDD', 'attic')
]

function codeOf(texts: string[]): string {
  try {
    return lossesOf(texts, ALL).join()
  } catch (error) {
    return CairnError.is(error) ? error.code : String(error)
  }
}

const losses = suite('losses')

losses('nodes by name or by what their id begins with, zones by name, each member once', () => {
  const table: [string[], string][] = [
    [['node:amber-fox'], '12D3KooWAAAA'],
    [['node:12D3KooWB'], '12D3KooWBBBB'],
    [['zone:attic', 'node:amber-fox'], '12D3KooWAAAA,12D3KooWBBBB'],
    [['node:attic', 'zone:cellar'], '12D3KooWDDDD,12D3KooWCCCC'],
    [[], '']
  ]
  for (const [texts, ids] of table) assert.is(codeOf(texts), ids)
})

losses('who is unknown, meant twice, or neither node nor zone is an error', () => {
  const table: [string, string][] = [
    ['node:iron-owl', 'BAD_REQUEST'],
    ['node:12D3KooW', 'BAD_REQUEST'],
    ['node:12D', 'NOT_FOUND'],
    ['node:red-fox', 'NOT_FOUND'],
    ['zone:roof', 'NOT_FOUND'],
    ['amber-fox', 'BAD_REQUEST']
  ]
  for (const [text, code] of table) assert.is(codeOf([text]), code, text)
})

losses.run()
