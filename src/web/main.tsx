/** The page: what the address names, in the frame that all views share. */
import { render } from 'preact'
import { LocationProvider } from 'preact-iso'
import './styles/tokens.css'
import './styles/page.css'
import './styles/views.css'
import './styles/log.css'
import { App } from './app.js'

render(
  <LocationProvider>
    <App />
  </LocationProvider>,
  document.getElementById('page')!,
)
