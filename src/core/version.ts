/** The version of this program, and the version of GitLab whose interfaces it offers. */
export const version = '0.1.0'
export const gitlabVersion = '18.9.0'
