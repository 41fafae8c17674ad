/** Whom `node:a` and `zone:x` mean: the members whose loss a question supposes. */
import { CairnError, DATA_LIMITS, type Member, type PeerId } from '@cairn/core'

/** An id may be cut short, but not to what several begin with. */
const ID_CHARS_MIN = 8

/**
 * @throws BAD_REQUEST for what is neither, or means several nodes; NOT_FOUND where nobody is meant;
 *   TOO_LARGE beyond what a message takes
 */
export function lossesOf(texts: readonly string[], all: readonly Member[]): PeerId[] {
  const lost = new Set<PeerId>()
  for (const text of texts) {
    const [kind, name] = [text.slice(0, 5), text.slice(5)]
    const meant = kind === 'zone:' ? inZone(name, all) : kind === 'node:' ? [named(name, all)] : undefined
    if (meant === undefined) {
      throw new CairnError('BAD_REQUEST', `${text} is neither a node nor a zone`, {
        hint: 'node:NAME, node:ID or zone:ZONE; cairn peers shows them'
      })
    }
    for (const { id } of meant) lost.add(id)
  }
  if (lost.size > DATA_LIMITS.lossMembers) {
    throw new CairnError('TOO_LARGE', `${lost.size} members lost at once are too many to ask about`, {
      hint: `name at most ${DATA_LIMITS.lossMembers}`
    })
  }
  return [...lost]
}

function inZone(zone: string, all: readonly Member[]): Member[] {
  const meant = all.filter((member) => member.zone === zone)
  if (meant.length === 0) throw unknown(`no member says that it is in zone ${zone}`)
  return meant
}

function named(name: string, all: readonly Member[]): Member {
  const meant = all.filter((member) => {
    return member.name === name || (name.length >= ID_CHARS_MIN && member.id.startsWith(name))
  })
  const [one] = meant
  if (one === undefined) throw unknown(`no member is called ${name}`)
  if (meant.length > 1) {
    throw new CairnError('BAD_REQUEST', `${meant.length} members are called ${name}`, {
      hint: 'name it by its id: cairn peers'
    })
  }
  return one
}

function unknown(message: string): CairnError {
  return new CairnError('NOT_FOUND', message, { hint: 'cairn peers shows the members and their zones' })
}
