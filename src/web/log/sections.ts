/** Sections of a log, and which lines are seen while some are closed: pure. */
/** The beginning or end of a section of the log, by the line that says so. */
export interface Mark {
  line: number
  kind: 'start' | 'end'
  name: string
  /** In milliseconds since 1970. */
  at: number
  collapsed: boolean
}

export interface Section {
  name: string
  /** The line of its title. */
  start: number
  /** The line behind its last one. */
  end: number
  /** Undefined while it is open. */
  tookMs: number | undefined
  closedAtFirst: boolean
}

/** Pairs beginnings with ends; one that never ends goes on to the end of the log. */
export function sectionsOf(marks: readonly Mark[], lines: number): Section[] {
  const sections: Section[] = []
  const open: { section: Section; at: number }[] = []
  for (const mark of marks) {
    if (mark.kind === 'start') {
      const section = {
        name: mark.name,
        start: mark.line,
        end: lines,
        tookMs: undefined,
        closedAtFirst: mark.collapsed,
      }
      sections.push(section)
      open.push({ section, at: mark.at })
      continue
    }
    const i = open.findLastIndex(({ section }) => section.name === mark.name)
    if (i < 0) continue
    const [found] = open.splice(i)
    found!.section.end = mark.line
    found!.section.tookMs = Math.max(0, mark.at - found!.at)
  }
  return sections
}

/** Lines that are seen, found by their place among these and the other way round. */
export class Folding {
  /** Ranges that are hidden: apart from each other, and in order. */
  readonly #hidden: { from: number; to: number }[] = []
  readonly count: number

  constructor(sections: readonly Section[], closed: ReadonlySet<string>, lines: number) {
    for (const { start, end, name } of sections) {
      const from = start + 1
      if (!closed.has(keyOf({ start, name })) || end <= from || from < (this.#hidden.at(-1)?.to ?? 0)) continue
      this.#hidden.push({ from, to: end })
    }
    this.count = lines - this.#hidden.reduce((sum, { from, to }) => sum + to - from, 0)
  }

  /** The line at this place of what is seen. */
  lineAt(place: number): number {
    let line = place
    for (const { from, to } of this.#hidden) {
      if (line < from) break
      line += to - from
    }
    return line
  }

  /** Where the line is; one that is hidden is where its section is. */
  placeOf(line: number): number {
    let place = line
    for (const { from, to } of this.#hidden) {
      if (line < from) break
      place -= Math.min(line + 1, to) - from
    }
    return place
  }
}

/** What a section is called among those of its log. */
export function keyOf({ start, name }: Pick<Section, 'start' | 'name'>): string {
  return `${start} ${name}`
}
