/** A figure of the node with its values, in the shape in which plugins get it. */
export interface Gauge {
  name: string
  help: string
  /** A counter only grows, and its name ends with `_total`. Default `gauge`. */
  type?: 'gauge' | 'counter'
  values: { labels: Record<string, string>; value: number }[]
}
