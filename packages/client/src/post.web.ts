/** A browser has no sockets: there blocks come by `fetch` (post.node.ts is Node's half). */
import type { Post } from './nodes.ts'

export const post: Post | undefined = undefined
