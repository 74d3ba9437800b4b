export interface History {
  jobs: number
  /** When the newest of them ended, in milliseconds since 1970. */
  now: number
  /** What they are spread over; default 180. */
  days?: number
  /** Ids of the two projects. */
  projects: readonly [number, number]
  runner: number
  manager: number
  user?: number
}
// biome-ignore lint/suspicious/noExplicitAny: rows of any table
export type Run = (sql: string) => Promise<any[]>
export function fillHistory(
  run: Run,
  history: History,
): Promise<{ pipelines: number; jobs: number; environment: number; firstJob: number; firstPipeline: number }>
export function settlePostgres(run: Run): Promise<void>
