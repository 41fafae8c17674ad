/** Byte arrays as the wire and the disk need them: compared, joined, written as hex and as UTF-8. */

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export function toHex(bytes: Uint8Array): string {
  let hex = ''
  for (const byte of bytes) hex += HEX[byte]
  return hex
}

/** @throws RangeError when `hex` is not an even number of lower-case hexadecimal digits: a caller's bug. */
export function fromHex(hex: string): Uint8Array {
  if (hex.length % 2 !== 0) throw new RangeError('not lower-case hexadecimal')
  const bytes = new Uint8Array(hex.length / 2)
  putHex(bytes, 0, hex)
  return bytes
}

/** Writes what the digits stand for at a place where there is room for it. @throws RangeError as `fromHex` */
export function putHex(into: Uint8Array, from: number, hex: string): void {
  for (let i = 0, at = from; i < hex.length; i += 2, at++) {
    into[at] = 16 * digit(hex.charCodeAt(i)) + digit(hex.charCodeAt(i + 1))
  }
}

function digit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  if (code >= 97 && code <= 102) return code - 87
  throw new RangeError('not lower-case hexadecimal')
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const joined = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.length
  }
  return joined
}

/** UTF-8 (RFC 3629); a lone surrogate becomes U+FFFD. Here because ES2023 alone has no TextEncoder. */
export function toUtf8(text: string): Uint8Array {
  const ascii = new Uint8Array(text.length)
  let i = 0
  for (; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code >= 0x80) break
    ascii[i] = code
  }
  return i === text.length ? ascii : anyToUtf8(text)
}

function anyToUtf8(text: string): Uint8Array {
  const bytes: number[] = []
  for (const char of text) {
    let code = char.codePointAt(0) as number
    if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd
    if (code < 0x80) bytes.push(code)
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63))
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63))
    else
      bytes.push(
        0xf0 | (code >> 18),
        0x80 | ((code >> 12) & 63),
        0x80 | ((code >> 6) & 63),
        0x80 | (code & 63)
      )
  }
  return Uint8Array.from(bytes)
}

/** The text of strict UTF-8, or `undefined`: overlong forms, surrogates and cut sequences are refused. */
export function fromUtf8(bytes: Uint8Array): string | undefined {
  let text = ''
  for (let i = 0; i < bytes.length; ) {
    const first = bytes[i++] as number
    const more = first < 0x80 ? 0 : first >> 5 === 6 ? 1 : first >> 4 === 14 ? 2 : first >> 3 === 30 ? 3 : -1
    if (more < 0 || i + more > bytes.length) return undefined
    let code = more === 0 ? first : first & (63 >> more)
    for (let k = 0; k < more; k++) {
      const next = bytes[i++] as number
      if (next >> 6 !== 2) return undefined
      code = (code << 6) | (next & 63)
    }
    const least = [0, 0x80, 0x800, 0x10000][more] as number
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return undefined
    text += String.fromCodePoint(code)
  }
  return text
}
