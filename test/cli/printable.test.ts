/** What reaches a terminal of text that came from elsewhere. */
import { expect, it } from 'vitest'
import { readableLog } from '../../src/cli/log-text.js'
import { printable, printableWithColors } from '../../src/cli/printable.js'

const esc = '\u001b'

it.each([
  ['a reset', `${esc}c`],
  ['a reset in pieces', `${esc}\u202ec`, 'c'],
  ['an escape in an escape', `${esc}${esc}[31mcc`.replace('[31m', '[2J'), 'cc'],
  ['cleared screens', `${esc}[2J${esc}[3J${esc}[H`],
  ['a title, ended in both ways', `${esc}]0;evil\u0007${esc}]0;evil${esc}\\`],
  ['a title that does not end', `${esc}]0;evil`],
  ['a device control string', `${esc}P1$r0m${esc}\\`],
  ['another character set', `${esc}(0${esc}%G${esc}#8`],
  ['a saved cursor', `${esc}7${esc}8${esc}=`],
  ['controls of one byte', '\u009b2J\u009d0;x\u0090\u0085', '2J0;x'],
  ['a bell and a backspace', '\u0007\b\u007f\0'],
  ['overrides of the writing direction', '\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c'],
  ['separators of lines', '\u2028\u2029'],
  ['a lone escape', esc],
])('lets no %s through', (_, text, left = '') => {
  expect(printable(`a${text}`)).toBe(`a${left}`)
  expect(printableWithColors(`a${text}`)).toBe(`a${left}`)
  expect(readableLog(`a${text}\n`, true)).toBe(`a${left}\n`)
})

it('keeps letters, joined emoji and, where they are wanted, colours', () => {
  const text = 'ä 日本 👩‍🚀\tשלום'
  expect(printable(text)).toBe(text)
  expect(printableWithColors(`${esc}[1;31m${text}${esc}[0m${esc}[m`)).toBe(`${esc}[1;31m${text}${esc}[0m${esc}[m`)
  expect(printable(`${esc}[1;31m${text}${esc}[0m`)).toBe(text)
})
