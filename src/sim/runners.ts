/** Who the simulated runners are. */
import type { SimRandom } from './random.js'

export const traits = ['slow', 'vanishing', 'duplicating', 'lying'] as const
export type Trait = (typeof traits)[number]

/** A runner's nature. Without a trait it is honest and quick. */
export interface Character {
  systemId: string
  token: string
  runnerId: number
  traits: ReadonlySet<Trait>
  features: string[]
  /** Jobs at once. */
  capacity: number
  random: SimRandom
}
