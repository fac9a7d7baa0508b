// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// JupyterLab's own output areas, renderers, sanitizer and stylesheets; bundled by jupyterlab.mjs. Around them are the
// elements that JupyterLab has around a cell's output: styles go by their classes.
import '@jupyterlab/outputarea/style/index.js'
import { OutputArea, OutputAreaModel } from '@jupyterlab/outputarea'
import { RenderMimeRegistry, standardRendererFactories } from '@jupyterlab/rendermime'
import { Widget } from '@lumino/widgets'

window.show = (notebook, trusted) => {
  const rendermime = new RenderMimeRegistry({ initialFactories: standardRendererFactories })
  for (const { outputs } of notebook.cells) {
    const cell = document.createElement('div')
    cell.className = 'jp-Notebook jp-Cell jp-CodeCell'
    document.body.append(cell)
    const model = new OutputAreaModel({ values: outputs, trusted })
    Widget.attach(new OutputArea({ model, rendermime }), cell)
  }
}
document.documentElement.dataset.loaded = 1
