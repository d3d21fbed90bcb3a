import './explorer.css';
import './views.css';
import './graph.css';
import './detail.css';
import './form.css';
import './panel.css';
import './compare.css';
