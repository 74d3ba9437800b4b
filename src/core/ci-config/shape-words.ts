/** What a shape accepts, in words and as a question. */
import type { Node, ScalarNode } from './node.js'
import type { AnyShape } from './shape.js'

/** Does a value of this type fit at all? What it holds is another question. */
export function accepts(shape: AnyShape, node: Node): boolean {
  switch (shape.kind) {
    case 'anything':
      return true
    case 'either':
      return shape.options.some((option) => accepts(option, node))
    case 'list':
      return node.kind === 'list'
    case 'record':
    case 'entries':
      return node.kind === 'map'
    case 'boolean':
      return node.kind === 'scalar' && typeof node.value === 'boolean'
    case 'number':
      return node.kind === 'scalar' && typeof node.value === 'number' && (!shape.integer || isInteger(node))
    case 'choice':
      return node.kind === 'scalar' && typeof node.value === 'string'
    case 'text': {
      if (node.kind !== 'scalar') return false
      const type = typeof node.value
      if (type === 'string') return true
      if (shape.scalar === 'any') return type !== 'object'
      return shape.scalar === 'integer' && isInteger(node)
    }
  }
}

/** `1.0` is no integer: Ruby tells the two apart by how they are written, which their text keeps. */
function isInteger(node: ScalarNode): boolean {
  return typeof node.value === 'number' && (node.text === undefined || /^-?\d+$/.test(node.text))
}

/** A shape in words: `a string or a list of strings`. */
export function expected(shape: AnyShape): string {
  if (shape.expects !== undefined) return shape.expects
  switch (shape.kind) {
    case 'anything':
      return 'any value'
    case 'text':
      if (shape.scalar === 'integer') return 'a string or an integer'
      return shape.scalar === undefined ? 'a string' : 'a string or a number'
    case 'boolean':
      return 'a boolean'
    case 'number': {
      const what = shape.integer ? 'an integer' : 'a number'
      if (shape.min !== undefined && shape.max !== undefined) return `${what} from ${shape.min} to ${shape.max}`
      return shape.min === undefined ? what : `${what} of at least ${shape.min}`
    }
    case 'choice':
      return `a string, one of ${shape.values.join(', ')}`
    case 'list': {
      const items = shape.says ?? `a list of ${plural(shape.of)}`
      return shape.nested === undefined || shape.nested === Number.POSITIVE_INFINITY
        ? items
        : `${items}, nested at most ${shape.nested} levels`
    }
    case 'record': {
      const names = Object.keys(shape.keys)
      return names.length > 8 ? 'a map' : `a map with the keys ${names.join(', ')}`
    }
    case 'entries':
      return 'a map'
    case 'either':
      return shape.options.map(expected).join(' or ')
  }
}

function plural(shape: AnyShape): string {
  switch (shape.kind) {
    case 'text':
    case 'choice':
      return 'strings'
    case 'number':
      return shape.integer ? 'integers' : 'numbers'
    case 'boolean':
      return 'booleans'
    case 'record':
    case 'entries':
      return 'maps'
    case 'list':
      return 'lists'
    case 'anything':
      return 'values'
    case 'either':
      return shape.options.map(plural).join(' or ')
  }
}
