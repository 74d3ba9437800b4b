/** Runs once before the suites; what they share outside their own process is started here. */
export default function setup(): void {}
