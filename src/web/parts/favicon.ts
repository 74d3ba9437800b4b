/** The status of what is shown, in the title and the icon of the tab. */
import { useEffect } from 'preact/hooks'
import { lookOf } from './status.js'

const tones: Readonly<Record<string, string>> = {
  good: '#0a7d6c',
  bad: '#cc3311',
  warn: '#b36b00',
  busy: '#1f62c9',
  wait: '#8a6d00',
  ask: '#7a4fb5',
  none: '#6b7280',
}

/** Sets both as long as the view is shown. */
export function useTitle(title: string, status?: string): void {
  useEffect(() => {
    const look = status === undefined ? undefined : lookOf(status)
    document.title = `${look ? `${look.word} · ` : ''}${title} · Signalbox`
    const shape = look ? `<path d='${look.shape}'/>` : "<path d='M4 14V2 M4 3l9 3l-9 3'/>"
    const colour = tones[look?.tone ?? 'busy']
    const svg = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16' fill='none' stroke='${colour}' stroke-width='2' stroke-linecap='round' stroke-linejoin='round'>${shape}</svg>`
    document.querySelector('link[rel=icon]')?.setAttribute('href', `data:image/svg+xml,${encodeURIComponent(svg)}`)
  }, [title, status])
}
