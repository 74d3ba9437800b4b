// The least that a durable log can cost: 4 KiB appends to a file, synced every fifty.
import fs from 'node:fs'
import path from 'node:path'
import { nowUs, serve } from '../lib.mjs'

const chunk = Buffer.alloc(4096, 'y')

serve({
  /** Bytes a second. */
  append({ dir, syncs }) {
    const file = fs.openSync(path.join(dir, 'one.log'), 'a')
    const started = nowUs()
    for (let i = 0; i < syncs; i++) {
      for (let n = 0; n < 50; n++) fs.writeSync(file, chunk)
      fs.fdatasyncSync(file)
    }
    const seconds = (nowUs() - started) / 1e6
    fs.closeSync(file)
    return (syncs * 50 * chunk.length) / seconds
  },
})
