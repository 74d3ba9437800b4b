/** Where a repository is in the API of GitHub. */
import type { ForgeAccess } from '../../core/forge.js'

export const repositoryPath = ({ repository }: Pick<ForgeAccess, 'repository'>): string =>
  `/repos/${repository.split('/').map(encodeURIComponent).join('/')}`
