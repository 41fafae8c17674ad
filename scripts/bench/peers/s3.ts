/**
 * As much of S3 as puts and gets an object: path-style, signed by AWS's signature version 4 with a payload
 * that is not, as over TLS.
 *
 * See https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
import { createHash, createHmac } from 'node:crypto'
import { LIMIT_MS } from './daemons.ts'

/** Any, if the server is told the same. */
export const REGION = 'garage'
const PAYLOAD = 'UNSIGNED-PAYLOAD'

export interface Bucket {
  url: string
  /** Of the key. */
  id: string
  secret: string
}

/** @throws Error when it answers with an error */
export async function ask(bucket: Bucket, method: string, key: string, body?: Blob): Promise<Response> {
  const url = new URL(`${bucket.url}/${key}`)
  const headers = headersOf(bucket, { method, url, date: new Date() })
  const signal = AbortSignal.timeout(LIMIT_MS)
  const answer = await fetch(url, { method, headers, body: body ?? null, signal })
  if (!answer.ok) throw new Error(`${method} ${key}: ${answer.status} ${await answer.text()}`)
  return answer
}

/** What proves a request; `fetch` adds its host itself. Names of keys need no escapes here. */
export function headersOf(
  { id, secret }: Pick<Bucket, 'id' | 'secret'>,
  { method, url, date }: { method: string; url: URL; date: Date }
): Record<string, string> {
  const stamp = date.toISOString().replace(/[:-]|\.\d+/g, '')
  const scope = [stamp.slice(0, 8), REGION, 's3', 'aws4_request']
  const own = { 'x-amz-content-sha256': PAYLOAD, 'x-amz-date': stamp }
  const signed = Object.entries({ host: url.host, ...own }) // in the order of their names, as it must be
  const names = signed.map(([name]) => name).join(';')
  const lines = signed.map(([name, value]) => `${name}:${value}\n`).join('')
  const request = [method, url.pathname, '', lines, names, PAYLOAD].join('\n')
  const hash = createHash('sha256').update(request).digest('hex')
  const text = ['AWS4-HMAC-SHA256', stamp, scope.join('/'), hash].join('\n')
  const key = scope.reduce<Buffer>((above, part) => hmac(above, part), Buffer.from(`AWS4${secret}`))
  const proof = [
    `Credential=${id}/${scope.join('/')}`,
    `SignedHeaders=${names}`,
    `Signature=${hmac(key, text).toString('hex')}`
  ]
  return { ...own, authorization: `AWS4-HMAC-SHA256 ${proof.join(', ')}` }
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
