import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { post } from '../src/post.node.ts'

const posting = suite('post')
const CHUNKED =
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na;x=1\r\n0123456789\r\n0\r\nt: x\r\n\r\n'

/** A server that answers the nth question as `answers` says, one piece after the other. */
async function serve(
  answers: (string[] | 'close')[],
  act: (url: string, sockets: Socket[]) => Promise<void>
) {
  const sockets: Socket[] = []
  let asked = 0
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', async () => {
      const answer = answers[asked++] ?? 'close'
      if (answer === 'close') return void socket.end()
      for (const piece of answer) await new Promise((done) => socket.write(piece, 'latin1', done))
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  try {
    await act(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/blocks`, sockets)
  } finally {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
}

async function until(is: () => boolean): Promise<void> {
  for (let i = 0; i < 6_000 && !is(); i++) await wait(10)
  assert.ok(is(), 'it is sent within a minute')
}

async function ask(url: string, signal = new AbortController().signal): Promise<string> {
  const posted = await post?.(url, { headers: { 'x-one': 'two' }, body: '{}', signal })
  let text = `${posted?.status} `
  for await (const piece of posted?.pieces ?? []) text += Buffer.from(piece).toString()
  return text
}

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  return await promise.then(
    () => assert.unreachable('it succeeded') as never,
    (error) => error
  )
}

posting('an answer in chunks is the same however it is cut, over one socket', async () => {
  const cuts = Array.from(CHUNKED, (_, at) => [CHUNKED.slice(0, at), CHUNKED.slice(at)])
  await serve([...cuts, [...CHUNKED]], async (url, sockets) => {
    for (let i = 0; i <= cuts.length; i++) assert.is(await ask(url), '200 abc0123456789')
    assert.is(sockets.length, 1)
  })
})

posting(
  'an answer of a length, one to the end of the connection, and what is said before an answer',
  async () => {
    const early =
      'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 404 No\r\ncontent-length: 4\r\n\r\nnone'
    await serve([[early], ['HTTP/1.1 200 OK\r\n\r\nall', ' of it']], async (url, sockets) => {
      assert.is(await ask(url), '404 none')
      const whole = ask(url)
      while (sockets[0]?.bytesWritten !== early.length + 28) await new Promise((done) => setImmediate(done))
      sockets[0].end()
      assert.is(await whole, '200 all of it')
    })
  }
)

const BAD = [
  ['no HTTP', 'SSH-2.0-x\r\n\r\n'],
  ['a head without an end', `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(10_000)}`],
  ['a header that is none', 'HTTP/1.1 200 OK\r\nno colon\r\n\r\n'],
  ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcde'],
  ['a length and chunks', CHUNKED.replace('Transfer', 'content-length: 3\r\nTransfer')],
  ['a coding that is not known', 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
  ['a chunk without a length', CHUNKED.replace('\r\n3\r\n', '\r\n-3\r\n')],
  ['a chunk of another length', CHUNKED.replace('\r\n3\r\n', '\r\n2\r\n')]
] as const

for (const [name, answer] of BAD) {
  posting(`${name} is refused, and the connection with it`, async () => {
    await serve([[answer], ['HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n!']], async (url, sockets) => {
      await failureOf(ask(url))
      assert.is(await ask(url), '200 !')
      assert.is(sockets.length, 2)
    })
  })
}

posting('an answer that is cut short is no answer', async () => {
  await serve(
    [[CHUNKED.slice(0, -8)], ['HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n!']],
    async (url, sockets) => {
      for (const nth of [0, 1]) {
        const failure = failureOf(ask(url))
        await until(() => (sockets[nth]?.bytesWritten ?? 0) > 0)
        sockets[nth]?.end()
        assert.match((await failure).message, 'within its answer')
      }
    }
  )
})

posting('a socket that was closed while nobody used it says nothing of the question', async () => {
  const answer = ['HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n!']
  await serve([answer, 'close', answer], async (url, sockets) => {
    assert.is(await ask(url), '200 !')
    assert.is(await ask(url), '200 !')
    assert.is(sockets.length, 2)
  })
})

posting('an abort closes the connection at once', async () => {
  await serve([['HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n!']], async (url, sockets) => {
    const gone = new AbortController()
    const failure = failureOf(ask(url, gone.signal))
    await until(() => (sockets[0]?.bytesWritten ?? 0) > 0)
    const closed = new Promise((done) => sockets[0]?.on('close', done))
    gone.abort(new Error('enough'))
    assert.is((await failure).message, 'enough')
    await closed
  })
})

posting('a header can carry no second line', async () => {
  const asked = { headers: { a: 'b\r\nc: d' }, body: '', signal: new AbortController().signal }
  assert.instance(await failureOf(post?.('http://127.0.0.1:1/', asked) as Promise<unknown>), TypeError)
})

posting.run()
