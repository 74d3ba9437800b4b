# package.sh FORMAT SORT: words in, words out.
format=$1
sort=$2
if [ "$sort" = yes ]; then order=sort; else order=cat; fi
if [ "$format" = upper ]; then
  $order | tr '[:lower:]' '[:upper:]'
else
  $order
fi
