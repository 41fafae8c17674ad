/**
 * How near each member is, as its answers to fetches tell: the smoothed time to a first block, and what
 * is asked of it already. One that was silent or broke off is far until it shows otherwise.
 */
import type { PeerId } from './block.ts'
import { createWindow, type Window } from './window.ts'

interface Load {
  /** Blocks asked of it and not answered; of these, for reads alone. */
  pending: number
  reading: number
  /** How many for reads there may be. */
  readonly window: Window
  /** When it last answered, or was asked with nothing else under way. */
  heardMs: number
  /** Smoothed time from asking to the first block, ms (RFC 6298's 1/8); undefined before the first. */
  latencyMs: number | undefined
  /** Wants in its quota. */
  told: number
}

export type Loads = Map<PeerId, Load>

export function loadOf(loads: Loads, peer: PeerId): Load {
  let load = loads.get(peer)
  if (load === undefined) {
    const none = { pending: 0, reading: 0, heardMs: 0, latencyMs: undefined, told: 0 }
    load = { ...none, window: createWindow() }
    loads.set(peer, load)
  }
  return load
}

/** Takes the time to the first block of a transfer. */
export function timed(loads: Loads, peer: PeerId, tookMs: number): void {
  const load = loadOf(loads, peer)
  load.latencyMs = load.latencyMs === undefined ? tookMs : load.latencyMs + (tookMs - load.latencyMs) / 8
}

/** It took so long at least. */
export function nowKnownSlow(loads: Loads, peer: PeerId, atLeastMs: number): void {
  const load = loadOf(loads, peer)
  load.latencyMs = Math.max(load.latencyMs ?? 0, atLeastMs)
}

/** Blocks under way that make a member look twice as far. A guess: a quarter of the window. */
const FAR_PENDING = 16

/** Less is nearer. Members never asked come first, so that each is tried. */
export function nearness(loads: Loads, peer: PeerId): number {
  const load = loads.get(peer)
  if (load?.latencyMs === undefined) return load?.pending ?? 0
  return load.latencyMs * (1 + load.pending / FAR_PENDING)
}

/** The member is gone. Nothing is pending from it any more. */
export function forgetLoad(loads: Loads, peer: PeerId): void {
  loads.delete(peer)
}
