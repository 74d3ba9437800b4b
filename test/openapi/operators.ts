/** What calls, operators and annotations mean for values that are known in part. */
import type { Node } from './interpreter.js'
import { any, either, itemsOf, literal, mapOf, native, type Value } from './values.js'

/** Calls a function; of another value only what it is given is called, since it may do so. */
export function called(value: Value, args: Value[]): Value {
  if (value.is === 'function') return value.call(args)
  const given = args.filter((one) => one.is === 'function').map((one) => called(one, [any, any, any]))
  return value.is === 'any' && given.length === 1 ? either([given[0]!]) : any
}

/** A method of a list, and of what may be one. */
export function listMethod(name: string, list: Value): Value {
  const isList = list.is === 'list' || list.is === 'many' || list.is === 'any'
  if (!isList) return any
  const each = (fn: Value | undefined) => (fn ? called(fn, [itemsOf(list), any]) : any)
  if (name === 'map' && list.is === 'list') {
    return native((fn) => ({ is: 'list', items: list.items.map((one, i) => called(fn ?? any, [one, literal(i)])) }))
  }
  if (name === 'flatMap' && list.is === 'list') {
    return native((fn) => ({
      is: 'list',
      items: list.items.flatMap((one, i) => {
        const made = called(fn ?? any, [one, literal(i)])
        return made.is === 'list' ? made.items : [itemsOf(made)]
      }),
    }))
  }
  if (name === 'map') return native((fn) => ({ is: 'many', of: each(fn) }))
  if (name === 'flatMap') return native((fn) => ({ is: 'many', of: itemsOf(each(fn)) }))
  const passed = (fn: Value | undefined) => each(fn?.is === 'function' ? fn : undefined)
  if (name === 'find' || name === 'at') {
    return native((fn) => {
      passed(fn)
      return itemsOf(list)
    })
  }
  if (list.is === 'any') return any
  if (['filter', 'slice', 'toReversed', 'sort'].includes(name)) {
    return native((fn) => {
      passed(fn)
      return { is: 'many', of: itemsOf(list) }
    })
  }
  return any
}

/** What an operator between two values gives. */
export function compared(operator: string, left: Value, right: Value): Value {
  if (left.is !== 'literal' || right.is !== 'literal') return any
  if (operator === '===') return literal(left.value === right.value)
  if (operator === '!==') return literal(left.value !== right.value)
  const [a, b] = [Number(left.value), Number(right.value)]
  const sums: Record<string, number> = { '*': a * b, '-': a - b, '**': a ** b }
  if (operator === '+' && typeof left.value === 'string') return literal(left.value + String(right.value))
  if (operator === '+') return literal(a + b)
  return operator in sums ? literal(sums[operator]) : any
}

/** Whether it is neither null nor undefined; undefined: that is not known. */
export function isThere(value: Value): boolean | undefined {
  if (value.is === 'literal') return value.value !== undefined && value.value !== null
  return value.is === 'any' || value.is === 'one' ? undefined : true
}

/** `x === undefined`, `!x`, `!x?.length`. */
export function isAbsence(node: Node): boolean {
  if (node.type === 'UnaryExpression')
    return node.operator === '!' && ['Identifier', 'ChainExpression'].includes(node.argument.type)
  const { operator, left, right } = node
  return (
    node.type === 'BinaryExpression' && operator === '===' && left.type === 'Identifier' && right.name === 'undefined'
  )
}

/** The entity, or list of entities, that a function says that it gives. */
export function entityIn(type: Node, entities: ReadonlySet<string>): Value | undefined {
  if (type?.type === 'TSArrayType') {
    const of = entityIn(type.elementType, entities)
    return of && { is: 'many', of }
  }
  if (type?.type !== 'TSTypeReference') return undefined
  const name = type.typeName.name
  if (name === 'Promise') return entityIn(type.typeArguments.params[0], entities)
  return entities.has(name) ? { is: 'entity', name } : undefined
}

/** The comment that documents what begins there. */
export function docBefore(text: string, start: number): string | undefined {
  const match = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*(?:export\s+)?$/.exec(text.slice(0, start))
  return match?.[1]
    ?.replace(/^\s*\* ?/gm, '')
    .replace(/\s+/g, ' ')
    .trim()
}

/** What is there without being imported. */
export const globals = { Promise: mapOf({ all: native((list) => list ?? any) }) }
