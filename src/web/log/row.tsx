/** One line of a log. */
import { duration } from '../time.js'
import type { Section } from './sections.js'
import type { Line } from './text.js'

interface Props {
  line: number
  content: Line | undefined
  section: Section | undefined
  closed: boolean
  look: string
  found: string
  stamp: string
  onToggle: () => void
  onPick: (extend: boolean) => void
}

/** Its number links to it; the title of a section folds it. */
export function LogRow({ line, content, section, closed, look, found, stamp, onToggle, onPick }: Props) {
  return (
    <div class={`line${look}`}>
      <a
        class="number"
        href={`#L${line + 1}`}
        target="_self"
        aria-label={`Line ${line + 1}`}
        onClick={(event) => {
          event.preventDefault()
          onPick(event.shiftKey)
        }}
      >
        {line + 1}
      </a>
      {stamp && <span class="stamp">{stamp}</span>}
      {section ? (
        <button type="button" class="fold" aria-expanded={!closed} onClick={onToggle}>
          <span aria-hidden="true">{closed ? '▸' : '▾'}</span>
          <Text content={content} found={found} />
          {!content?.pieces.length && section.name}
          <span class="took">{section.tookMs === undefined ? '' : duration(section.tookMs)}</span>
        </button>
      ) : (
        <Text content={content} found={found} />
      )}
    </div>
  )
}

function Text({ content, found }: { content: Line | undefined; found: string }) {
  if (!content) return <span class="text dim">…</span>
  return (
    <span class="text">
      {content.pieces.map(({ text, look, href }, i) =>
        href ? (
          <a key={i} class={look} href={href} rel="noopener noreferrer nofollow" target="_blank">
            {text}
          </a>
        ) : (
          <span key={i} class={look}>
            {marked(text, found)}
          </span>
        ),
      )}
    </span>
  )
}

/** What was searched for stands out. */
function marked(text: string, found: string) {
  const at = found === '' ? -1 : text.toLowerCase().indexOf(found.toLowerCase())
  if (at < 0) return text
  const end = at + found.length
  return (
    <>
      {text.slice(0, at)}
      <mark>{text.slice(at, end)}</mark>
      {text.slice(end)}
    </>
  )
}
