"""What the payer tells its providers: Explanation of Payment, Summary of Claims in Process."""
