import { readFileSync, writeFileSync } from 'node:fs'
import { expect } from 'vitest'

/**
 * Compares what was made with the file that keeps it under review; with `UPDATE=1` writes it instead.
 */
export function expectKept(file: string, made: string): void {
  if (process.env.UPDATE === '1') writeFileSync(file, made)
  expect(made, `${file} is out of date: run npm run kept`).toBe(readFileSync(file, 'utf8'))
}
