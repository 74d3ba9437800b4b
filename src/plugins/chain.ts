/** The chain of classifiers: in which order they are asked, and whose verdict counts. */
import type { Judgment, Verdict } from '../core/evidence.js'

export interface ChainSettings {
  /** Ids of plugins whose classifiers are asked first, in this order; the others follow in that of their lists. */
  order: readonly string[]
  /** From 0 to 1: a verdict with less confidence gives way to the next. */
  threshold: number
}

export const defaultChain: ChainSettings = { order: [], threshold: 0.5 }

/** Sorts what belongs to plugins by the order of the chain. What the order does not name keeps its place behind. */
export function inOrder<Link extends { plugin: { id: string } }>(
  links: readonly Link[],
  order: readonly string[],
): Link[] {
  const rank = ({ plugin }: Link) => {
    const at = order.indexOf(plugin.id)
    return at === -1 ? order.length : at
  }
  return links.toSorted((a, b) => rank(a) - rank(b))
}

export function isSure({ confidence = 1 }: Verdict, { threshold }: ChainSettings): boolean {
  return confidence >= threshold
}

/** The more confident of two; the earlier of two that are equally so. */
export function surer(earlier: Judgment | undefined, later: Judgment): Judgment {
  return earlier && (earlier.confidence ?? 1) >= (later.confidence ?? 1) ? earlier : later
}

/** A verdict with who gave it: the plugin, the classifier's own name where that is another, and the rule. */
export function judgmentOf(plugin: string, classifier: string, verdict: Verdict): Judgment {
  const name = plugin === `classifier.${classifier}` ? plugin : `${plugin}/${classifier}`
  return { ...verdict, by: verdict.rule === undefined ? name : `${name} (${verdict.rule})` }
}
