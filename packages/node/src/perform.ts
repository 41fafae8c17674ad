/**
 * The one switch over what the core decides: each action is done here, or handed to the part that does
 * it.
 */
import { type CoreAction, encodeMessage } from '@cairn/core'
import { makeChallenge, prove, tellFault } from './audits.ts'
import { collect, knowClaims, listEnded, takeClaims } from './collect.ts'
import { listSlots, lookUp } from './lookups.ts'
import { letGo, listCopies, verifyCopies } from './release.ts'
import { monotonicMs } from './runtime.ts'
import type { Shell } from './shell.ts'
import { asCairnError } from './uploads.ts'

export function perform(shell: Shell, action: CoreAction): void {
  const { transport, uploads, reads } = shell
  switch (action.type) {
    case 'send':
      shell.roundTrips.sent(action.to, action.message, monotonicMs())
      transport.send(action.to, encodeMessage(action.message))
      return
    case 'dial':
      // A failure is no event: the core sees nobody answer, and tries again in its own time.
      transport.dial(action.addresses, action.peer).catch(() => undefined)
      return
    case 'member': {
      const { member, was } = action
      transport.setAddresses(member.id, member.addresses)
      if (member.state === was) return
      if (member.state === 'dead') transport.disconnect(member.id)
      const { id: peer, state } = member
      shell.events.emit({ type: 'member', peer, name: shell.nameOf(peer), state, was, atMs: Date.now() })
      return
    }
    case 'forget':
      transport.setAddresses(action.id, [])
      return
    case 'keep':
      keep(shell, action)
      return
    case 'log':
      shell.log('info', action.text)
      return
    case 'send-blocks':
      uploads.send(action)
      return
    case 'put-settled':
      uploads.settled(action)
      return
    case 'put-over':
      uploads.over(action)
      return
    case 'fetch-blocks':
      reads.fetch(action)
      return
    case 'cancel-fetch':
      reads.cancel(action.transfer)
      return
    case 'read-over':
      reads.over(action)
      return
    case 'list-slots':
      void shell.during(listSlots(shell, action))
      return
    case 'look-up':
      void shell.during(lookUp(shell, action))
      return
    case 'keep-ref':
    case 'drop-ref':
    case 'keep-boot':
    case 'ref-read-over':
    case 'ref-drafted':
    case 'ref-updated':
    case 'refs-listed':
    case 'ref-changed':
    case 'renew-ref':
    case 'tidy-ref':
      shell.refs.perform(action)
      return
    case 'mirror-fetch':
    case 'mirror-keep':
    case 'mirror-free':
    case 'mirror-drop':
      shell.mirrors.perform(action)
      return
    case 'check-copy':
      void shell.during(checkCopy(shell, action))
      return
    case 'list-copies':
      void shell.during(listCopies(shell, action))
      return
    case 'verify-copies':
      void shell.during(verifyCopies(shell, action))
      return
    case 'let-go':
      void shell.during(letGo(shell, action))
      return
    case 'take-claims':
      void shell.during(takeClaims(shell, action))
      return
    case 'know-claims':
      void shell.during(knowClaims(shell, action))
      return
    case 'list-ended':
      void shell.during(listEnded(shell, action))
      return
    case 'collect':
      void shell.during(collect(shell, action))
      return
    case 'make-challenge':
      void shell.during(makeChallenge(shell, action))
      return
    case 'prove':
      void shell.during(prove(shell, action))
      return
    case 'scrub-message':
      shell.scrubs.heard(action.from, action.message)
      return
    case 'fault':
      tellFault(shell, action)
      return
    case 'challenged':
    case 'surveyed':
    case 'inquired':
    case 'doomed':
      shell.asked.get(action.request)?.resolve(action)
      shell.asked.delete(action.request)
      return
  }
}

function keep(shell: Shell, { incarnation, members }: CoreAction & { type: 'keep' }): void {
  const save = async () => {
    await shell.home.saveMembers(members)
    const settings = await shell.home.settings()
    if (settings !== undefined) await shell.home.saveSettings({ ...settings, incarnation })
  }
  const done = save().catch((error: unknown) => {
    shell.log('warn', `members not kept on disk: ${asCairnError(error).message}`)
  })
  void shell.during(done)
}

/** The store verifies what it reads: a damaged copy is put aside, told to the core, and fetched again. */
async function checkCopy(shell: Shell, action: CoreAction & { type: 'check-copy' }): Promise<void> {
  const { key, from, reason } = action
  try {
    if ((await shell.store.stat(key)) === undefined) return // it was found by ourselves, or never here
    const good = (await shell.store.get(key)) !== undefined
    const found = good ? 'it is good when read again' : 'it is damaged, and fetched again'
    shell.log('warn', `${shell.nameOf(from)} was given a bad copy of ${key} (${reason}): ${found}`)
  } catch (error) {
    shell.log('error', `${key} can't be read: ${asCairnError(error).message}`)
  }
}
