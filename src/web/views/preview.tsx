/** A look at one file: pictures as pictures, everything else as text. What could run is never given to the browser to run. */
import { useEffect, useState } from 'preact/hooks'
import { apart } from '../apart.js'
import { send } from '../api.js'
import { Loading } from '../parts/bits.js'

/** Pictures by their first bytes, whatever their names say. SVG is a document that may hold scripts: it is shown as text. */
const pictures: readonly (readonly [type: string, first: readonly number[]])[] = [
  ['image/png', [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]],
  ['image/jpeg', [0xff, 0xd8, 0xff]],
  ['image/gif', [0x47, 0x49, 0x46, 0x38]],
  ['image/webp', [0x52, 0x49, 0x46, 0x46]],
]

const most = { picture: 4 * 1024 * 1024, text: 256 * 1024 }

type Look = { picture: string } | { text: string; cut: boolean } | { why: string }

/** What is to be shown of these bytes. */
export function lookAt(bytes: Uint8Array): Look {
  const type = pictures.find(([, first]) => first.every((byte, i) => bytes[i] === byte))?.[0]
  if (type) {
    let binary = ''
    for (let i = 0; i < bytes.length; i += 8192) binary += String.fromCharCode(...bytes.subarray(i, i + 8192))
    return { picture: `data:${type};base64,${btoa(binary)}` }
  }
  const head = bytes.subarray(0, most.text)
  if (head.includes(0)) return { why: 'It is neither a picture nor text: download it.' }
  return { text: new TextDecoder().decode(head), cut: bytes.length > most.text }
}

/** The file, if it is not too large to be looked at. */
export function Preview({ name, size, path }: { name: string; size: number; path: string }) {
  const [look, setLook] = useState<Look>()
  useEffect(() => {
    const stop = new AbortController()
    const load = async () => {
      if (size > most.picture) return setLook({ why: `It has ${bytesOf(size)}: download it.` })
      const answer = await send(path, { signal: stop.signal })
      setLook(lookAt(new Uint8Array(await answer.arrayBuffer())))
    }
    apart(load().catch((error: Error) => stop.signal.aborted || setLook({ why: error.message })))
    return () => stop.abort()
  }, [path, size])
  return (
    <section class="stack" aria-label={`Preview of ${name}`}>
      <h2 class="code">{name}</h2>
      {look === undefined ? (
        <Loading />
      ) : 'why' in look ? (
        <p class="dim">{look.why}</p>
      ) : 'picture' in look ? (
        <img class="preview" src={look.picture} alt={name} />
      ) : (
        <>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keyboards must be able to. */}
          <pre class="preview" tabIndex={0}>
            {look.text}
          </pre>
          {look.cut && <p class="dim">The rest is in the download.</p>}
        </>
      )}
    </section>
  )
}

/** `1.2 MB`. */
export function bytesOf(size: number): string {
  if (size < 1000) return `${size} bytes`
  const units = ['kB', 'MB', 'GB']
  let value = size / 1000
  while (value >= 1000 && units.length > 1) {
    value /= 1000
    units.shift()
  }
  return `${value.toFixed(value < 10 ? 1 : 0)} ${units[0]}`
}
