import './explorer.css';
import './views.css';
import './graph.css';
import './detail.css';
import './asks.css';
import './form.css';
import './panel.css';
import './compare.css';
