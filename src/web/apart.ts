/** Work that nobody waits for. */

/** Lets it go on; a fault, which would be a bug of the page, is shown where developers look. */
export function apart(work: Promise<unknown>): void {
  work.catch((error) => console.error(error))
}

/** What a field of a form holds, as text. */
export function fieldOf(form: FormData, name: string): string {
  return wholeFieldOf(form, name).trim()
}

/** The same with the blanks around it. */
export function wholeFieldOf(form: FormData, name: string): string {
  const value = form.get(name)
  return typeof value === 'string' ? value : ''
}
