import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createWindow, type Window, windowed } from '../src/window.ts'

const MOST = 64

const windows = suite('window')

/** A link that brings a block in so many ms, with as many under way as the window lets be. */
function drive(window: Window, { blockMs, delayMs }: { blockMs: number; delayMs: number }, count: number) {
  for (let i = 0; i < count; i++) {
    const tookMs = delayMs + window.blocks * blockMs
    windowed(window, { tookMs, underWay: window.blocks }, MOST, 1 + i * blockMs)
  }
}

windows('on a slow link it shrinks until blocks hardly wait, and fills the link all the same', () => {
  const window = createWindow()
  windowed(window, { tookMs: 55, underWay: 1 }, MOST, 1)
  drive(window, { blockMs: 50, delayMs: 5 }, 100)
  assert.ok(window.blocks >= 4 && window.blocks <= 5, `${window.blocks} blocks`)
})

windows('on a long link it grows until the link is full', () => {
  const window = createWindow()
  windowed(window, { tookMs: 110, underWay: 1 }, MOST, 1)
  drive(window, { blockMs: 4, delayMs: 106 }, 200)
  assert.ok(window.blocks * 4 >= 110, `${window.blocks} blocks`)
})

windows('it does not grow while fewer are asked for, and never past the most', () => {
  const window = createWindow()
  const { blocks } = window
  for (let i = 1; i < 100; i++) windowed(window, { tookMs: 1, underWay: blocks - 1 }, MOST, i)
  assert.is(window.blocks, blocks)
  for (let i = 1; i < 100; i++) windowed(window, { tookMs: 1, underWay: MOST }, MOST, i)
  assert.is(window.blocks, MOST)
})

windows('after a pause the link is measured anew', () => {
  const window = createWindow()
  windowed(window, { tookMs: 1, underWay: 1 }, MOST, 1)
  for (let i = 0; i < 100; i++) windowed(window, { tookMs: 400, underWay: 4 }, MOST, 2 + i)
  assert.is(window.blocks, 4)
  windowed(window, { tookMs: 400, underWay: 1 }, MOST, 60_000)
  assert.is(window.quickestMs, 400)
  assert.ok(window.blocks > 4)
})

windows.run()
