import './explorer.css';
import './views.css';
import './detail.css';
