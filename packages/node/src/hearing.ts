/** What the transport says, as events of the core. A peer's bytes are decoded here, once. */
import { CairnError, type CoreEvent, decodeMessage, type Message, type PeerId } from '@cairn/core'
import type { Found } from './joining.ts'
import { monotonicMs } from './runtime.ts'
import type { Shell } from './shell.ts'
import type { TransportEvents } from './transport.ts'
import { watchForTwin } from './twin.ts'

export function hearTransport(to: {
  dispatch(event: CoreEvent): void
  log: Shell['log']
  found: Found
  /** Undefined while the node starts. */
  shell(): Shell | undefined
}): TransportEvents {
  const { dispatch, log, found } = to
  const twin = watchForTwin()
  return {
    message(from, bytes) {
      const message = decoded(from, bytes, log)
      if (message === undefined) return
      const shell = to.shell()
      const error = shell && twin.hear(message, shell.core.placed, monotonicMs())
      if (error === undefined) return dispatch({ type: 'message', from, message })
      log('error', error.message)
      shell?.fail(error)
    },
    connected: (peer) => dispatch({ type: 'connected', peer }),
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
