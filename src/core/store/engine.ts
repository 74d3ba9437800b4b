/** The databases that hold the truth. */

/** The databases that a store can be on. */
export type Engine = 'sqlite' | 'postgres'
