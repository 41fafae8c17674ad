export { CairnError, type ErrorCode } from '@cairn/core'
export {
  type Client,
  type ClientOptions,
  createClient,
  type PinOptions,
  type PutOptions,
  type Signalled
} from './client.ts'
export { type DigestedOptions, digestedBlocks, type KnownFile } from './digested.ts'
export type { Expect } from './expect.ts'
export type { GetOptions, Got } from './get.ts'
export type { Kept } from './kept.ts'
export { exportKey, importKey, newSeed, type RefKey, refKey } from './keys.ts'
export type { EventOptions } from './lines.ts'
export type { Mirror, MirrorOptions, Mirrors, Promoted } from './mirrors.ts'
export type { Fetch } from './nodes.ts'
export type { Progress, Put, PutResult } from './put.ts'
export type {
  Ref,
  RefOptions,
  RefReceiptInfo,
  RefSetOptions,
  RefState,
  Refs,
  RefWithReceipts
} from './refs.ts'
export type { DirEntry, PathContent, Source } from './source.ts'
export type { Found, WithDigests } from './stored.ts'
export type * from './types.ts'
export type { WhatIfOptions } from './what-if.ts'
