/** Reads the files of a directory under a name through one node, a client each, and says how long it took. */
import { createClient } from '@cairn/client'

const [url = '', token = '', name = '', ...files] = process.argv.slice(2)
const startMs = performance.now()
const sizes = await Promise.all(
  files.map(async (file) => {
    const client = createClient({ url, token })
    const got = await client.get(`${name}/${file}`)
    let bytes = 0
    for await (const piece of got) bytes += piece.length
    return bytes
  })
)
const bytes = sizes.reduce((sum, size) => sum + size, 0)
console.log(JSON.stringify({ bytes, seconds: (performance.now() - startMs) / 1_000 }))
