"""Leading eigenpairs of the Hessian, certified by recomputed residuals."""
