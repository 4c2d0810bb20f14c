"""The checks, a module for each category. Each exports `CHECKS`; `ccapi.doctor.registry` joins them."""
