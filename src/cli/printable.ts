/** Text that came from elsewhere, without anything that a terminal would obey or that would show it as other than it is. */

/** Without escape sequences, control characters other than tabs and line ends, and marks of writing direction. */
export function printable(text: string): string {
  return text.replace(obeyed, '')
}

/** The same, but colours (SGR) stay: for logs on a terminal. */
export function printableWithColors(text: string): string {
  return text.replace(obeyed, (found) => (/^\u001b\[[0-9;]{0,48}m$/.test(found) ? found : ''))
}

/**
 * In one pass, so that what is left on both sides of something removed is never read together: CSI, OSC (ended by BEL or
 * ST), DCS and its like, any other escape sequence (ECMA-35 §13: `ESC c` resets the terminal), controls of both sets with
 * an escape that begins nothing, and the marks by which text is written backwards (https://trojansource.codes).
 */
const obeyed = new RegExp(
  [
    String.raw`\u001b\[[0-?]*[ -/]*[@-~]`,
    String.raw`\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)?`,
    String.raw`\u001b[PX^_][^\u001b]*(?:\u001b\\)?`,
    String.raw`\u001b[ -/]*[0-~]`,
    String.raw`[\u0000-\u0008\u000b-\u001f\u007f-\u009f]`,
    String.raw`[\p{Bidi_Control}\u2028\u2029]`,
  ].join('|'),
  'gu',
)
