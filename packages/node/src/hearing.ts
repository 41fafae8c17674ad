/** What the transport says, as events of the core. A peer's bytes are decoded here, once. */
import { CairnError, type CoreEvent, decodeMessage, type Message, type PeerId } from '@cairn/core'
import type { Found } from './joining.ts'
import { monotonicMs } from './runtime.ts'
import type { Shell } from './shell.ts'
import type { TransportEvents } from './transport.ts'
import { watchForTwin } from './twin.ts'

const TWIN_HINT = 'does another process run with a copy of this home?'
/** A member that let us in answers within a second; ten forgive a loaded one. */
const SILENT_MS = 10_000

export function hearTransport(to: {
  dispatch(event: CoreEvent): void
  log: Shell['log']
  found: Found
  /** Undefined while the node starts. */
  shell(): Shell | undefined
}): TransportEvents {
  const { dispatch, log, found } = to
  const twin = watchForTwin()
  let heard = false
  let doubt: NodeJS.Timeout | undefined
  return {
    message(from, bytes) {
      heard = true
      clearTimeout(doubt)
      const message = decoded(from, bytes, log)
      if (message === undefined) return
      const shell = to.shell()
      shell?.roundTrips.heard(from, message, monotonicMs())
      const error = shell && twin.hear(message, shell.core.placed, monotonicMs())
      if (error === undefined) return dispatch({ type: 'message', from, message })
      log('error', error.message)
      shell?.fail(error)
    },
    connected(peer) {
      // What they send goes to whoever had this identity first: a second one is let in, and hears nothing.
      const warn = (): void => log('warn', `${peer} lets this node in and says nothing: ${TWIN_HINT}`)
      if (!heard) doubt ??= setTimeout(warn, SILENT_MS).unref()
      dispatch({ type: 'connected', peer })
    },
    disconnected: (peer) => dispatch({ type: 'disconnected', peer }),
    found(peer, addresses) {
      if (to.shell() === undefined) found.add(peer, addresses)
      dispatch({ type: 'found', members: [{ id: peer, addresses }] })
    },
    rejected: (who, error) => log('warn', `${who}: ${error.message}`)
  }
}

function decoded(from: PeerId, bytes: Uint8Array, log: Shell['log']): Message | undefined {
  try {
    return decodeMessage(bytes)
  } catch (cause) {
    if (!CairnError.is(cause, 'BAD_MESSAGE')) throw cause
    log('warn', `${from}: ${cause.message}`)
  }
}
