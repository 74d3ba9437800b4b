// Vitest loads what it is asked for through its own resolver. Plugins are loaded as a server loads them: by Node itself.
module.exports = (url) => import(url)
