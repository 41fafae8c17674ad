/**
 * Two words for a peer id, so that people can tell nodes apart at a glance: `amber-fox`. A greeting, not
 * an identity: 16,384 names, so some two of 150 nodes share one by even odds. The lists and their order
 * are fixed: changing them renames nodes.
 */
import { createHash } from 'node:crypto'
import type { PeerId } from '@cairn/core'

export const ADJECTIVES = (
  'able agile airy amber ample apt arctic ashen autumn azure balmy basic blithe blue bold brave ' +
  'breezy brief bright brisk bronze busy calm candid careful cheery chilly civil clean clear clever ' +
  'cobalt cool copper coral cosy crisp curly daring dawn deft dapper dusky eager early earnest easy ' +
  'ebony elder epic even fair fancy fast fern fiery fine firm fleet fluent fond frank free fresh ' +
  'frosty gentle gilded glad golden grand green happy hardy hazel hearty honest humble indigo ivory ' +
  'jade jolly jovial keen kind lively loyal lucid lucky lunar mellow merry mild misty modest mossy ' +
  'neat nimble noble olive opal patient placid plucky proud quick quiet rapid ready rosy ruby ' +
  'rustic sage sandy silent silver smart snowy solar sturdy sunny swift tidy vivid warm wise witty ' +
  'young zesty'
).split(' ')

export const ANIMALS = (
  'alpaca badger bear beaver bee bison boar bobcat buck bunting camel carp cat cheetah civet cod ' +
  'colt condor coot corgi cougar coyote crab crane cricket crow cuckoo curlew deer dingo dolphin ' +
  'dove drake duck eagle eel egret eland elk emu ermine falcon ferret finch fox frog gannet gazelle ' +
  'gecko gibbon goat goose grebe grouse gull hare hawk heron hornet horse hound ibex ibis iguana ' +
  'impala jackal jay kestrel kite kiwi koala lark lemur leopard lion lizard llama lynx macaw magpie ' +
  'marlin marten martin mink moose moth mouse newt ocelot orca oriole osprey otter owl panda ' +
  'panther parrot pelican perch pigeon pike plover pony puffin puma quail rabbit raven robin salmon ' +
  'seal shrew skylark snipe sparrow stoat stork swan tapir tern tiger trout turtle walrus wombat ' +
  'wren yak zebra'
).split(' ')

const WORDS = 128

export function nameOf(peer: PeerId): string {
  const [first, second] = createHash('sha256').update(peer).digest()
  return `${ADJECTIVES[(first as number) % WORDS]}-${ANIMALS[(second as number) % WORDS]}`
}
