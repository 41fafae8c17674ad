import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { width } from '../src/format.ts'
import { bar, fit, getLine, liveLine, meter, putLine } from '../src/progress.ts'

const progress = suite('progress')

progress('a bar is full only when all is done', () => {
  assert.is(bar(0, 10), '░░░░░░░░░░')
  assert.is(bar(7, 10), '███████░░░')
  assert.is(bar(999, 1000), '█████████░')
  assert.is(bar(10, 10), '██████████')
  assert.is(bar(11, 10), '██████████')
  assert.is(bar(0, 0), '░░░░░░░░░░')
})

progress('put shows replicas of the whole, not of what has been sent', () => {
  const state = { hashed: 1.2e9, sent: 0.6e9, total: 1.2e9, replicas: 3, wanted: 3, perSecond: 100e6 }
  assert.is(
    putLine(state),
    'hashing ██████████ 1.2 GB/1.2 GB   replicas █████░░░░░ 1.5/3 · 100 MB/s · ETA 6.0 s'
  )
})

progress('put of unknown length has no bar of bytes and no ETA', () => {
  const state = { hashed: 5e6, sent: 1e6, total: undefined, replicas: 3, wanted: 3, perSecond: 1e6 }
  assert.is(putLine(state), 'hashing 5.0 MB   replicas ██████████ 3.0/3 · 1.0 MB/s')
})

progress('get says from where it resumed', () => {
  const state = { done: 61e6, total: 100e6, resumed: 61e6, perSecond: 0 }
  assert.is(getLine(state), 'resumed at 61 % ██████░░░░ 61.0 MB/100 MB')
  assert.match(getLine({ ...state, resumed: 0, perSecond: 39e6 }), /^getting .* · 39.0 MB\/s · ETA 1.0 s$/)
})

progress('the rate is of the last seconds, so a stall shows', () => {
  const speed = meter()
  assert.is(speed.perSecond(), 0)
  for (let second = 0; second <= 10; second++) speed.add(second * 100, second * 1_000)
  assert.is(speed.perSecond(), 100)
  for (let second = 11; second <= 17; second++) speed.add(1_000, second * 1_000)
  assert.is(speed.perSecond(), 0)
})

progress('a line never wraps', () => {
  const line = 'hashing ██████████ 日本語 '.repeat(10)
  for (const columns of [10, 40, 80]) assert.ok(width(fit(line, columns)) < columns)
  assert.is(fit('short', 80), 'short')
})

function recorder(): { stream: NodeJS.WriteStream; written: string[] } {
  const written: string[] = []
  const stream = { columns: 80, write: (text: string) => written.push(text) > 0 }
  return { stream: stream as unknown as NodeJS.WriteStream, written }
}

progress('nothing is drawn where it is not wanted, and what is drawn is taken away', () => {
  const off = recorder()
  const silent = liveLine(off.stream, false)
  silent.show(() => 'x')
  silent.clear()
  assert.equal(off.written, [])
  const on = recorder()
  const live = liveLine(on.stream, true)
  live.show(() => 'one')
  live.show(() => 'too soon')
  live.clear()
  live.clear()
  assert.equal(on.written, ['\r\u001b[2Kone', '\r\u001b[2K'])
})

progress.run()
