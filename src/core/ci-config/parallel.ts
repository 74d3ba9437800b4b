/** How one job becomes several (lib/gitlab/ci/config/normalizer). */
import type { CompiledInstance } from './config.js'
import type { Matrix } from './keywords/needs.js'
import { limits } from './limits.js'

/** What is wrong with the number of jobs that a matrix makes, if anything. */
export function matrixProblem(matrix: Matrix): string | undefined {
  let total = 0
  for (const map of matrix) {
    let product = 1
    for (const values of map.values()) product = Math.min(product * values.length, limits.parallel + 1)
    total += product
  }
  if (total === 0) return 'generates no job'
  return total > limits.parallel ? `generates more than ${limits.parallel} jobs` : undefined
}

export function instancesOf(
  name: string,
  parallel: { count: number } | { matrix: Matrix } | undefined,
): CompiledInstance[] {
  if (parallel === undefined) return [{ name }]
  if ('count' in parallel) {
    const total = parallel.count
    return Array.from({ length: total }, (_, index) => ({
      name: `${name} ${index + 1}/${total}`,
      parallel: { index: index + 1, total },
    }))
  }
  // Equal values in two maps make equal names; the later job replaces the earlier.
  const all = combinations(parallel.matrix)
  const instances = all.map((values, index) => ({
    name: matrixName(name, values),
    parallel: { index: index + 1, total: all.length },
    variables: values.map(([key, value]) => ({ key, value })),
  }))
  return [...new Map(instances.map((instance) => [instance.name, instance])).values()]
}

/** Names of the instances that a `needs:parallel:matrix` picks. */
export function matrixNames(name: string, matrix: Matrix): string[] {
  return combinations(matrix).map((values) => matrixName(name, values))
}

type Combination = [key: string, value: string][]

/** Each map is a product in the order of its keys, the last varying fastest; the maps follow each other. */
function combinations(matrix: Matrix): Combination[] {
  return matrix.flatMap((map) => {
    let product: Combination[] = [[]]
    for (const [key, values] of map) {
      product = product.flatMap((before) => values.map((value): Combination => [...before, [key, value]]))
    }
    return product
  })
}

function matrixName(name: string, values: Combination): string {
  return `${name}: [${values.map(([, value]) => value).join(', ')}]`
}

/** `$[[ matrix.NAME ]]` in a text, replaced by what `find` gives for the name. */
export function replaceMatrixExpressions(text: string, find: (name: string) => string): string {
  return text.replace(/\$\[\[\s*matrix\.([\w-]+)\s*\]\]/g, (_, name: string) => find(name))
}

export function hasMatrixExpression(text: string): boolean {
  return /\$\[\[\s*matrix\./.test(text)
}

/** A job's name without what tells its instances apart (lib/gitlab/utils/job.rb). */
export function groupName(name: string): string {
  return name.replace(/(?:[\x08\s:]+(?:\[.*\]|\d+[\s:/\\]+\d+)){1,3}\s*$/, '').trim()
}
