/** Icons: a task that calls two others, of the panel and of the runs that it opens; one that runs; a store that is served. */
import {LabIcon} from '@jupyterlab/ui-components';

export const runsIcon = new LabIcon({
  name: 'flyte-nb:runs',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
  <g class="jp-icon3" fill="#616161">
    <path d="M8 12h3.5V6.5a2 2 0 0 1 2-2H16V6h-2.5a.5.5 0 0 0-.5.5v11a.5.5 0 0 0 .5.5H16v1.5h-2.5a2 2 0 0 1-2-2v-4H8z"/>
    <circle cx="5.5" cy="12.7" r="3"/><circle cx="18.5" cy="5.2" r="3"/><circle cx="18.5" cy="18.8" r="3"/>
  </g>
</svg>`
});

export const taskIcon = new LabIcon({
  name: 'flyte-nb:task',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
  <g class="jp-icon3" fill="#616161">
    <path d="M7 5.2v9.6l7.2-4.8z"/>
    <path d="M14.5 16.6h2.2a2.4 2.4 0 0 1 4.6 0H23v1.6h-1.7a2.4 2.4 0 0 1-4.6 0H4v-1.6z"/>
  </g>
</svg>`
});

export const serveIcon = new LabIcon({
  name: 'flyte-nb:serve',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
  <g class="jp-icon3" fill="#616161">
    <path d="M4 13h16v7H4zm1.6 1.6v3.8h12.8v-3.8z"/><circle cx="8" cy="16.5" r="1.1"/>
    <path d="M11.2 11.5V7.2h1.6v4.3zM12 3.2a4 4 0 0 1 2.9 6.7l-1.1-1.1a2.4 2.4 0 1 0-3.6 0L9.1 9.9A4 4 0 0 1 12 3.2z"/>
  </g>
</svg>`
});
